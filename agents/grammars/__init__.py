"""Where files do not parse, by the grammar of their language.

languages  which language a file is, and what reads it
parsing    asks a process of its own: grammars are C code, and what they read comes from strangers
reader     that process
"""
