package config

import (
	"regexp"
	"strings"
)

// placeholders are texts that example files of mail software put where yours belongs, in lower
// case.
var placeholders = map[string]bool{
	"your-app-password": true, "your_app_password": true, "yourapppassword": true, "your app password": true, "app-password": true,
	"your-password": true, "your_password": true, "yourpassword": true, "your-secure-password": true, "your-smtp-password": true,
	"your-email": true, "your_email": true, "your-username": true, "your_username": true,
	"changeme": true, "change-me": true, "change_me": true, "replace-me": true, "replaceme": true, "todo": true, "xxx": true,
	"xxxxxxxx": true, "xxxx xxxx xxxx xxxx": true, "xxxx-xxxx-xxxx-xxxx": true, "the password": true,
	"smtp.yourprovider.com": true, "smtp.your-provider.com": true, "smtp.provider.com": true, "your-smtp-host": true,
	"your-api-key": true, "your_api_key": true,
}

// placeholderHost is a domain that only an example file has, with what may stand before it:
// noreply@yourdomain.com, mail.your-domain.com, your-email@gmail.com.
var placeholderHost = regexp.MustCompile(`(?:^|[@./])(?:your|my)[-_]?(?:domain|site|company|website)\.(?:com|net|org|tld|example|de|io)>?$|` +
	`^your[-_.]?(?:e?mail|name|user(?:name)?|address|account)@`)

// placeholder reports whether a value still is what an example file had.
func placeholder(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") && !strings.Contains(text, "@") {
		return true // <your password>
	}
	return placeholders[text] || placeholderHost.MatchString(text)
}
