//go:build !goexperiment.runtimesecret

package erase

// Do runs a function that handles secrets, and clears the stack that it used.
func Do(f func()) {
	clearStack() // a stack that grows in f would leave its old place as it was
	defer clearStack()
	f()
}

// used is up to how much of a stack the functions here use, in bytes.
const used = 8 << 10

// clearStack clears what is below its caller's frame.
//
//go:noinline
func clearStack() {
	var b [used]byte
	touch(&b)
}

//go:noinline
func touch(b *[used]byte) { clear(b[:]) }
