"""The `anon` daemon: installed, configured, started, watched and asked. The official SDK does it, behind `sdk.py`."""
