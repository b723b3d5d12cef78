"""The product in a real browser, as people use it: pages, live conversation, keyboard, stop, rights."""
