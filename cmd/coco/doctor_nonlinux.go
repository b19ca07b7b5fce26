//go:build !linux

package main

func memoryDisk(string) bool { return false }
