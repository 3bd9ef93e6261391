package message

import "encoding/json"

// recipientFields is a Recipient whose address is a field like the others, since an embedded
// Address would lend its text form to the whole and the rest would be lost.
type recipientFields struct {
	Address  Address
	Notify   Notify `json:",omitempty"`
	Original string `json:",omitempty"`
}

// MarshalJSON writes an object with the fields Address, Notify and Original.
func (r Recipient) MarshalJSON() ([]byte, error) {
	return json.Marshal(recipientFields{r.Address, r.Notify, r.Original})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Recipient) UnmarshalJSON(b []byte) error {
	var fields recipientFields
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	*r = Recipient{fields.Address, fields.Notify, fields.Original}
	return nil
}
