package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"dinkymail/cli/world"
	"dinkymail/operate"
	"dinkymail/queue"
)

type completeCommand struct {
	Words []string `arg:"" optional:"" help:"What was typed; the last is not complete."`
}

// completeWithin bounds how long the appliance is asked for what completes a word: somebody waits
// at the keyboard.
const completeWithin = 2 * time.Second

// Run prints a line for each word that may stand where the last one is: the word, a tab, and what
// it means. It never complains.
func (c completeCommand) Run(ctx context.Context, p *program, k *kong.Context) error {
	p.quiet = true // nothing may disturb the prompt
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	for _, s := range p.complete(ctx, k.Model.Node, words) {
		fmt.Fprintf(p.Out, "%s\t%s\n", s.word, s.means)
	}
	return nil
}

// suggestion is a word that may come next.
type suggestion struct{ word, means string }

// complete finds what may stand where the last word is.
func (p *program) complete(ctx context.Context, root *kong.Node, words []string) []suggestion {
	at := position{node: root}
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" }) // bash makes words of --flag=value
	if len(words) == 0 {
		return nil
	}
	for _, w := range words[:len(words)-1] {
		at.take(w)
	}
	typed := words[len(words)-1]
	var all []suggestion
	prefix := ""
	name, value, assigned := strings.Cut(typed, "=")
	switch {
	case at.node.Passthrough:
		return nil
	case at.flag != nil:
		prefix, all = p.values(ctx, at.node, at.flag.Value, typed)
	case assigned && strings.HasPrefix(name, "--"):
		if f := flagOf(at.node, name); f != nil {
			prefix, all = p.values(ctx, at.node, f.Value, value)
			prefix = name + "=" + prefix
		}
	case strings.HasPrefix(typed, "-"):
		all = flagsOf(at.node)
	case !at.node.Leaf():
		all = commandsOf(at.node)
	case len(at.node.Positional) > 0:
		i := min(at.given, len(at.node.Positional)-1)
		if at.given == i || at.node.Positional[i].IsCumulative() {
			prefix, all = p.values(ctx, at.node, at.node.Positional[i], typed)
		}
	}
	for i := range all {
		all[i].word = prefix + all[i].word
	}
	return slices.DeleteFunc(all, func(s suggestion) bool { return !strings.HasPrefix(s.word, typed) })
}

// position is where in the command line the words so far lead.
type position struct {
	node  *kong.Node
	flag  *kong.Flag // its value comes next
	given int        // arguments of node
}

func (at *position) take(word string) {
	switch {
	case at.flag != nil:
		at.flag = nil
	case at.node.Passthrough || word == "--":
	case strings.HasPrefix(word, "--"):
		if f := flagOf(at.node, word); f != nil && !f.IsBool() && !strings.Contains(word, "=") {
			at.flag = f
		}
	default:
		for _, child := range at.node.Children {
			if child.Name == word {
				at.node, at.given = child, 0
				return
			}
		}
		at.given++
	}
}

// flagOf finds a flag of a command or of those above it.
func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	for ; node != nil; node = node.Parent {
		for _, f := range node.Flags {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}

func flagsOf(node *kong.Node) []suggestion {
	var all []suggestion
	for ; node != nil; node = node.Parent {
		for _, f := range node.Flags {
			if !f.Hidden {
				all = append(all, suggestion{"--" + f.Name, f.Help})
			}
		}
	}
	return all
}

func commandsOf(node *kong.Node) []suggestion {
	var all []suggestion
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, suggestion{child.Name, child.Help})
		}
	}
	return all
}

// values are what a flag or an argument may be, and what of the word typed stands before each of
// them.
func (p *program) values(ctx context.Context, node *kong.Node, v *kong.Value, typed string) (prefix string, all []suggestion) {
	switch {
	case v.Enum != "":
		if v.IsCumulative() {
			prefix = typed[:strings.LastIndex(typed, ",")+1]
		}
		for _, word := range v.EnumSlice() {
			all = append(all, suggestion{word, ""})
		}
	case v.Flag == nil && strings.HasPrefix(v.Name, "id"):
		all = p.someIDs(ctx, node.Name)
	case v.Name == "what", v.Flag != nil && v.Name == "lane":
		all = p.laneNames(ctx, v.Flag == nil)
	}
	return prefix, all
}

// someIDs are messages that a command may be for.
func (p *program) someIDs(ctx context.Context, command string) []suggestion {
	sel := queue.Selection{}
	switch command {
	case "undo":
		sel.States = []queue.State{queue.StateRemoved}
	case "show", "cat", "log":
		sel.All, sel.Newest = true, true
	}
	var all []suggestion
	_ = p.askRunning(ctx, func(q world.Operator) error { // without an answer there is nothing to suggest
		for e, err := range operate.All(ctx, q, sel) {
			if err != nil || len(all) == terminalLimit {
				return err
			}
			all = append(all, suggestion{string(e.ID), sender(e.From) + " to " + recipients(e) + ", " + string(e.State)})
		}
		return nil
	})
	return all
}

// laneNames are the lanes there are, and what else can be paused.
func (p *program) laneNames(ctx context.Context, pause bool) []suggestion {
	var all []suggestion
	if pause {
		all = []suggestion{{queue.Intake, what(queue.Intake)}, {queue.Everything, what(queue.Everything)}}
	}
	_ = p.askRunning(ctx, func(q world.Operator) error { // as above
		st, err := q.Stats(ctx)
		for _, l := range st.Lanes {
			all = append(all, suggestion{l.Name, what(l.Name)})
		}
		return err
	})
	return all
}
