//go:build !linux

package local

func (f *file) syncData() error { return f.File.Sync() }
