package nodecmd

// again: a process cannot become another program here, so the node starts again within it.
func again() error { return nil }
