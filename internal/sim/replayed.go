//go:build replay

package sim

// replayed says that the process was built with the overlay of package replay.
const replayed = true
