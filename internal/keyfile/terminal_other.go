//go:build !windows

package keyfile

const consoleIn, consoleOut = "/dev/tty", "/dev/tty"
