//go:build goexperiment.runtimesecret

package erase

import "runtime/secret"

// Do runs a function that handles secrets: registers and the stack that it used are cleared afterwards, and what it has allocated once it is unreachable.
func Do(f func()) { secret.Do(f) }
