"""What the papers are measured against."""
