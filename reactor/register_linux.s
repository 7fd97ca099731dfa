// Functions without a body need an assembler file beside them.
