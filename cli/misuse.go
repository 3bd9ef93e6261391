package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// misused says what is wrong with a command line and where help is.
func misused(err error) string {
	text := strings.Replace(strings.TrimSuffix(err.Error(), "."), ", did you mean", "; did you mean", 1)
	parse := new(kong.ParseError)
	if !errors.As(err, &parse) || parse.Context.Selected() == nil {
		return strings.ReplaceAll(text+"; dinkymail --help lists the commands", "?;", "?")
	}
	command := parse.Context.Selected()
	if words, ok := strings.CutPrefix(text, "expected "); ok && len(command.Children) > 0 {
		text = "a further word is missing: " + words
	}
	if all := further(command); all != "" && strings.HasPrefix(text, "unexpected argument ") {
		return command.Parent.Path() + ": " + text + "; there are " + all
	}
	text = flagWords(text)
	help := "; dinkymail " + command.Path() + " --help has an example"
	for _, argument := range command.Positional {
		if argument.Required && !argument.Set && strings.Contains(text, argument.Summary()) {
			return command.Path() + ": " + argument.Summary() + " is missing: " + uncapital(strings.TrimSuffix(argument.Help, ".")) + help
		}
	}
	return command.Path() + ": " + text + help
}

// uncapital begins a text with a small letter.
func uncapital(s string) string {
	if s == "" || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// flagWords says in our words what is wrong with a flag's value; text that is about something else
// stays.
func flagWords(text string) string {
	name, rest, _ := strings.Cut(text, " ")
	name = strings.TrimSuffix(name, ":")
	want, got, ok := strings.Cut(rest, " but got ")
	if !ok || !strings.HasPrefix(name, "--") {
		return text
	}
	words := name + " needs a value"
	if one, ok := strings.CutPrefix(want, "must be one of "); ok {
		words = name + " is one of " + strings.NewReplacer(`"`, "", ",", ", ").Replace(one)
	} else if i := slices.IndexFunc(kinds, func(k [2]string) bool { return strings.Contains(want, k[0]) }); i >= 0 {
		words = name + " " + kinds[i][1]
	}
	if strings.HasPrefix(got, `"EOL"`) { // the command line ends there
		return words
	}
	return words + ", not " + got
}

// kinds are what a flag takes, in the parser's words and in ours.
var kinds = [][2]string{
	{"duration", "needs a time, such as 30m or 2h"},
	{"int", "needs a number"},
	{"bool", "is yes or no"},
}

// further names the words that may follow a command which does something without one; "" where
// there are none.
func further(command *kong.Node) string {
	group := command.Parent
	if group == nil || group.Parent == nil || group.DefaultCmd != command {
		return ""
	}
	var names []string
	for _, c := range group.Children {
		names = append(names, group.Path()+" "+c.Name)
	}
	return strings.Join(names, ", ")
}
