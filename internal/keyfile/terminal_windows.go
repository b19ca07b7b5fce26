package keyfile

const consoleIn, consoleOut = "CONIN$", "CONOUT$"
