package cli

import (
	_ "embed" // the scripts
	"fmt"
)

//go:embed completion.bash
var completionBash string

//go:embed completion.zsh
var completionZsh string

//go:embed completion.fish
var completionFish string

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by dinkymail completion --help.
func (completionCommand) Help() string {
	return `Prints a script for the shell, with which Tab completes commands, flags, states, lanes and the IDs of messages.

Examples:

    dinkymail completion bash > /etc/bash_completion.d/dinkymail
    dinkymail completion zsh > /usr/local/share/zsh/site-functions/_dinkymail
    dinkymail completion fish > ~/.config/fish/completions/dinkymail.fish`
}

// Run prints the script.
func (c completionCommand) Run(p *program) error {
	scripts := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}
	_, err := fmt.Fprint(p.Out, scripts[c.Shell])
	return err
}
