//go:build !goexperiment.runtimesecret

package erase

// Do runs a function that handles secrets, and clears the stack that it used.
func Do(f func()) {
	Stack() // a stack that grows in f would leave its old place as it was
	defer Stack()
	f()
}
