package host

import "errors"

// Replace makes a file have these contents and no others, durably. It writes them to the file part first, which it renames: a crash leaves the file as it was or as it is to be, and
// maybe part, with anything in it.
func Replace(d Disk, name, part string, data []byte) error {
	f, err := d.Create(part)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.Rename(part, name)
}
