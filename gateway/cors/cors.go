// Package cors answers browsers that ask whether a page of another origin may read an answer (the Fetch standard, "CORS protocol"), for the origins
// on which members have agreed.
//
// What a page may send is a session, which the page adds itself. A browser's own credentials, as a client certificate, never count:
// Access-Control-Allow-Credentials is not sent.
//
// Trust: enclave
package cors

import "net/http"

// Pages says which origins there are. Nil admits none.
type Pages func(origin string) bool

// What pages may send, and read of an answer.
const (
	requestHeaders = "Authorization, Content-Type, X-Coco-Consistency, X-Coco-Max-Age, traceparent"
	answerHeaders  = "X-Coco-Transaction-Id, X-Coco-Age, X-Coco-Stale, X-Request-Id, Retry-After, WWW-Authenticate"
	seconds        = "60" // for which a browser remembers an answer, after a vote, too
)

// Admits reports whether a request is of a page that may ask.
func (p Pages) Admits(r *http.Request) bool {
	origins := r.Header["Origin"]
	return p != nil && len(origins) == 1 && p(origins[0])
}

// Answer adds to an answer's header that the page may read it. The answer depends on the origin also if it may not.
func (p Pages) Answer(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	if p.Admits(r) {
		h.Set("Access-Control-Allow-Origin", r.Header["Origin"][0])
		h.Set("Access-Control-Expose-Headers", answerHeaders)
	}
}

// Preflight answers what a browser asks before the request of a page. It needs no caller: browsers send no credential with it.
func (p Pages) Preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	p.Answer(h, r)
	if p.Admits(r) && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", "POST")
		h.Set("Access-Control-Allow-Headers", requestHeaders)
		h.Set("Access-Control-Max-Age", seconds)
	}
	w.WriteHeader(http.StatusNoContent)
}
