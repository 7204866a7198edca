"""The pictures that a sandbox server paints instead of rendering."""
