"""Where agents' commands run: one interface, bubblewrap behind it. Nothing here runs unsandboxed."""
