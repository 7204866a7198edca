"""`veilrun anon …`: the onion network on this machine, as a client (bot host) and as a hidden service (GPU host).

One module per command; each adds itself to `app`.
"""

from runtime.cli.output import Commands

app = Commands(help="The Anyone network: install and run anon, look at it, offer ComfyUI through it.")
