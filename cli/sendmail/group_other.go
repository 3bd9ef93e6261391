//go:build !unix

package sendmail

import "io/fs"

func groupOf(fs.FileInfo) string { return "" }
