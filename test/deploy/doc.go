// Package deploy runs a node in the ways that are shipped for operators: by the container file and by the systemd unit, each
// with a network of `coco up` to join. It has tests only; `make test-deploy` runs them, as docs/testing.md explains.
//
//	network     (network_test.go)    three members on this machine, and the settings of a fourth node
//	container   (container_test.go)  the root that the Containerfile describes, in namespaces, as a container tool would run it
//	systemd     (systemd_test.go)    systemd itself, as the first process of namespaces, with the unit as it is shipped
//
// Nothing of the machine is changed: whatever is mounted is in a namespace that ends with the test.
//
// Trust: host
package deploy
