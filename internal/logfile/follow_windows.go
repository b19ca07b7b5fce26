package logfile

import "os"

// follow does nothing: a file that is open as the standard error is not renamed here, so it is never left.
func follow(_, _ *os.File) {}

// rename closes the file, because one that is open is not renamed here.
func rename(f *File, to string) error {
	f.file.Close()
	err := os.Rename(f.name, to)
	if err != nil {
		_ = f.reopen() // to go on in it
	}
	return err
}
