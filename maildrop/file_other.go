//go:build !unix

package maildrop

import (
	"io/fs"
	"os"
)

func openPlain(path string) (*os.File, error) { return os.Open(path) }

func owner(fs.FileInfo) uint32 { return 0 }

func links(fs.FileInfo) uint64 { return 1 }

func belongs(fs.FileInfo, int) bool { return true }

func giveToGroup(*os.File, fs.FileInfo) error { return nil }
