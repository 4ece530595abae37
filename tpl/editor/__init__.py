"""Programs in editors and shells: the language server, the words of the language, completion."""
