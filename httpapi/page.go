package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageText string

//go:embed form.html
var formPages string

// pages are the two pages of captured mail, "list" of a capturedList and "mail" of a *capturedFull,
// and those that answer a form, "sent" and "refused" of a formPage.
var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(pageStyle) }, //nolint:gosec // our own file
	"size": func(n int64) string {
		switch {
		case n < 10_000:
			return fmt.Sprintf("%d bytes", n)
		case n < 1_000_000:
			return fmt.Sprintf("%d kB", n/1000)
		}
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	},
}).Parse(pageText + formPages))

// pagePolicy lets a page use its own style and frame its own HTML part. No script runs, nothing is
// loaded from elsewhere.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// pageHeader is what every page says besides its policy.
func pageHeader(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

func showPage(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("draw page %s: %w", name, err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	pageHeader(header)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
