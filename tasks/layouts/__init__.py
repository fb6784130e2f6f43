"""One reader and one writer per real dataset layout."""
