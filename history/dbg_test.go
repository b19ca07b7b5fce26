package history
import "fmt"
func (x *Index) dump() string { s:=fmt.Sprintf("end %d start %d tail %v fill %v claimed %d unread %v holes %v chunks %v\n", x.end.Seqno, x.start.Seqno, x.tail!=nil, x.fill!=nil, len(x.claimed), x.unread, x.holes(x.claimed), x.cfg.Ledger.Chunks()); for _,c:=range x.claimed {s+=fmt.Sprintf("claimed %d-%d\n",c.from,c.to)}; for _,c:=range x.segments {s+=fmt.Sprintf("seg %d-%d\n",c.from,c.to)}; if x.tail!=nil {s+=fmt.Sprintf("tail %d-%d next %d\n",x.tail.from,x.tail.to,x.tail.next)}; return s }
