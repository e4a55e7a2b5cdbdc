"""How files are read and written: strict JSON, local paths, all of a file or nothing."""
