"""Methods that tests run in processes of their own: the stand-ins, as somebody's plug-in."""
