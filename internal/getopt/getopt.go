// Package getopt takes a command line apart as getopt(3) does, for programs that stand in for
// others whose options have one letter.
//
// # What it promises
//
// Letters may share a hyphen (-qv), a value may follow its letter at once or as the next argument
// (-i5, -i 5), a lone hyphen is an operand, and everything behind -- is. A letter with two colons
// takes what stands behind it in its argument (-q, -q5m). Options behind operands count too, as
// with glibc, unless the letters begin with a plus sign. Options come back in the order in which
// they were given.
package getopt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Option is one option as it was given.
type Option struct {
	Letter byte
	Value  string // of a letter that takes one
}

// Options are those of a command line.
type Options []Option

// Has reports whether a letter was given.
func (o Options) Has(letter byte) bool {
	return slices.ContainsFunc(o, func(one Option) bool { return one.Letter == letter })
}

// Error is a letter that is not known, or that lacks its value. Its text is what glibc prints
// behind the program's name.
type Error struct {
	Letter byte
	Lacks  bool
	Arg    string // the argument it stands in
}

func (e *Error) Error() string {
	shown := strings.Trim(strconv.QuoteToASCII(string([]byte{e.Letter})), `"`)
	if e.Lacks {
		return fmt.Sprintf("option requires an argument -- '%s'", shown)
	}
	return fmt.Sprintf("invalid option -- '%s'", shown)
}

// Parse reads args, which do not have the program's name. letters are those known, with a colon
// behind those that take a value, and two where it may be missing. The error is an *Error; options
// and operands are then those before it.
func Parse(args []string, letters string) (options Options, operands []string, err error) {
	letters, strict := strings.CutPrefix(letters, "+")
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return options, append(operands, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			operands = append(operands, arg)
			if strict {
				return options, append(operands, args...), nil
			}
		default:
			var some []Option
			some, args, err = cluster(arg[1:], args, letters)
			if options = append(options, some...); err != nil {
				return options, operands, err
			}
		}
	}
	return options, operands, nil
}

// cluster reads the letters behind one hyphen. It returns the arguments that are left.
func cluster(text string, args []string, letters string) (options []Option, rest []string, err error) {
	for i := range len(text) {
		at := strings.IndexByte(letters, text[i])
		if at < 0 || text[i] == ':' {
			return options, args, &Error{Letter: text[i], Arg: "-" + text}
		}
		if !strings.HasPrefix(letters[at+1:], ":") {
			options = append(options, Option{Letter: text[i]})
			continue
		}
		if i+1 < len(text) || strings.HasPrefix(letters[at+1:], "::") {
			return append(options, Option{text[i], text[i+1:]}), args, nil
		}
		if len(args) == 0 {
			return options, args, &Error{Letter: text[i], Lacks: true, Arg: "-" + text}
		}
		return append(options, Option{text[i], args[0]}), args[1:], nil
	}
	return options, args, nil
}
