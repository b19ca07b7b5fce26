package adapter

// TermsOf returns what the index of the past asks for the terms of a row: the adapter that has the table.
func TermsOf(adapters []Adapter) func(table string, key, value []byte, add func([]byte)) {
	by := map[string]Indexer{}
	for _, a := range adapters {
		if x, ok := a.(Indexer); ok {
			for _, t := range a.Manifest().Tables {
				by[t.Name] = x
			}
		}
	}
	return func(table string, key, value []byte, add func([]byte)) {
		if x := by[table]; x != nil {
			x.Terms(table, key, value, add)
		}
	}
}
