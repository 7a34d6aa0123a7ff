"""Small real competitions that need no download."""
