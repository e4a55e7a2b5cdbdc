"""A search for settings: many short looks on dev, then a study of what they found."""
