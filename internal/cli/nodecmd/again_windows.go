package nodecmd

// invoked: see again.
func invoked() string { return "" }

// again: a process cannot become another program here, so the node starts again within it.
func again(string) error { return nil }
