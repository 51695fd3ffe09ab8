package sample

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// The time that the sample spans: it never asks the clock.
const (
	begins = 1546300800 // 2019-01-01
	ends   = 1767225600 // 2026-01-01
	day    = 24 * 60 * 60
)

// generator makes rows. Its buffers are used again for each row.
type generator struct {
	random
	line copyLine
	prose
	sources, firms, investors, startups, contacts, deals, regions int64 // how many there are, for references
	rows                                                          int64
	counts                                                        map[string]int64
}

func newGenerator(rows int64) *generator {
	g := &generator{rows: rows, counts: map[string]int64{}}
	for _, t := range tables() {
		g.counts[t.Name] = t.count(rows)
	}
	g.regions, g.sources, g.firms = g.counts["regions"], g.counts["sources"], g.counts["investment_firms"]
	g.investors, g.startups, g.contacts, g.deals = g.counts["investors"], g.counts["startups"], g.counts["contacts"], g.counts["deals"]
	return g
}

func (g *generator) begin(table string, id int64) {
	g.random = streamOf(table, id)
	g.line.reset()
}

func (g *generator) region(id int64) {
	r := regions[id-1]
	g.line.integer(id)
	g.line.reference(r.parent)
	g.line.text(r.code)
	g.line.text(r.name)
	g.line.text(r.zone)
}

func (g *generator) source(id int64) {
	name := distinct(sourceFirst, sourceSecond, " ", id)
	g.line.integer(id)
	g.line.integer(g.market())
	g.line.text(name)
	g.line.text("https://" + slug(name) + ".example.org/")
	g.line.text(g.pick(sourceKinds))
	g.line.integer(g.between(1, 5))
	g.line.boolean(g.percent(92))
	g.line.timestamp(begins - g.below(365*day))
}

func (g *generator) firm(id int64) {
	name := distinct(firmFirst, firmSecond, " ", id)
	created := g.moment(id, g.firms)
	g.line.integer(id)
	g.line.integer(g.market())
	g.line.text(name)
	if g.percent(90) {
		g.line.text("https://" + slug(name) + ".example.com")
	} else {
		g.line.null()
	}
	g.line.integer(g.between(1972, 2018))
	g.line.money(g.between(5, 4000) * 1e6 * 100)
	g.line.array(g.some(sectors, 1, 4))
	g.line.timestamp(created)
	g.line.timestamp(g.later(created, 400*day))
}

func (g *generator) investor(id int64) {
	name := investorName(id)
	created := g.moment(id, g.investors)
	low := g.between(1, 40) * 25_000
	g.line.integer(id)
	if g.percent(80) {
		g.line.integer(1 + g.skewed(g.firms))
	} else {
		g.line.null()
	}
	g.line.text(name)
	g.line.text(address(name, id, g.pick(mailHosts)))
	g.line.text(g.pick(investorTitles))
	g.line.money(low * 100)
	g.line.money(low * g.between(2, 12) * 100)
	g.line.array(g.some(sectors, 1, 5))
	g.line.text(fmt.Sprintf(`{"channel": %q, "newsletter": %t, "stages": ["%s"], "quiet_hours": {"from": %d, "to": %d}}`,
		g.pick(channels), g.percent(60), strings.Join(g.some(fundingStages, 1, 3), `", "`), g.between(18, 22), g.between(6, 9)))
	g.line.timestamp(created)
	g.line.timestamp(g.later(created, 400*day))
}

func (g *generator) startup(id int64) {
	name := startupName(id)
	created := g.moment(id, g.startups)
	stage := g.skewed(int64(len(fundingStages)))
	g.line.integer(id)
	g.line.integer(g.market())
	g.line.text(name)
	if g.percent(95) {
		g.line.text("https://" + slug(name) + ".example.com")
	} else {
		g.line.null()
	}
	g.line.text(g.pick(sectors))
	g.line.text(fundingStages[stage])
	g.line.date(created - g.between(30, 2500)*day)
	g.line.integer(g.between(2, 12) << stage)
	if g.percent(70) {
		g.line.money(g.between(10, 90) * 100_000 << stage * 100)
	} else {
		g.line.null()
	}
	g.line.array(g.some(tags, 0, 4))
	g.line.text(fmt.Sprintf(`{"customers": %d, "revenue": {"currency": %q, "monthly": %d}, "models": ["%s"], "audited": %t}`,
		g.below(400), g.pick(currencies), g.below(900)*1000, strings.Join(g.some([]string{"subscription", "usage", "licence", "advertising"}, 1, 2), `", "`), g.percent(25)))
	g.line.timestamp(created)
	g.line.timestamp(g.later(created, 400*day))
}

func (g *generator) contact(id int64) {
	name := contactName(id)
	company := g.startupOfContact(id)
	created := g.moment(id, g.contacts)
	g.line.integer(id)
	g.line.integer(company)
	g.line.text(name)
	g.line.text(address(name, id, slug(startupName(company))+".example.com"))
	if g.percent(75) {
		g.line.text(fmt.Sprintf("+%d %d %07d", g.between(30, 49), g.between(10, 99), g.below(1e7)))
	} else {
		g.line.null()
	}
	g.line.text(g.pick(positions))
	g.line.array(append([]string{"en"}, g.some(languages, 0, 2)...))
	g.line.text(fmt.Sprintf(`{"met_at": %q, "warm": %t, "score": %d.%d}`, g.pick([]string{"conference", "introduction", "cold mail", "alumni dinner"}), g.percent(40), g.below(10), g.below(10)))
	g.line.timestamp(created)
	g.line.timestamp(g.later(created, 400*day))
}

func (g *generator) deal(id int64) {
	opened := g.moment(id, g.deals)
	stage := g.below(int64(len(dealStages)))
	probability := []int64{5, 15, 40, 75, 100, 0}[stage]
	if stage < 4 {
		probability += g.below(15)
	}
	g.line.integer(id)
	g.line.integer(g.startupOfDeal(id))
	g.line.integer(1 + g.skewed(g.investors))
	g.line.text(dealStages[stage])
	g.line.money(g.between(2, 400)*25_000*100 + g.below(2)*50)
	g.line.text(g.pick(currencies))
	g.line.integer(probability)
	g.line.text(fmt.Sprintf(`{"instrument": %q, "discount": %d, "pro_rata": %t, "board_seats": %d}`, g.pick(instruments), g.between(0, 5)*5, g.percent(50), g.below(3)))
	g.line.timestamp(opened)
	closed := g.later(opened, 200*day)
	if stage < 4 {
		g.line.null()
	} else {
		g.line.timestamp(closed)
	}
	g.line.timestamp(closed)
}

func (g *generator) subscriber(id int64) {
	name := person(&g.random)
	joined := g.moment(id, g.counts["subscribers"])
	g.line.integer(id)
	if g.percent(85) {
		g.line.integer(g.market())
	} else {
		g.line.null()
	}
	g.line.text(address(name, id, g.pick(mailHosts)))
	if g.percent(70) {
		g.line.text(name)
	} else {
		g.line.null()
	}
	g.line.text(uuid(g.next(), g.next()))
	g.line.text(g.pick(plans))
	g.line.array(g.some(sectors, 0, 4))
	g.line.text(fmt.Sprintf(`{"format": %q, "days": %d, "tracking": %t}`, g.pick([]string{"html", "plain"}), g.between(1, 7), g.percent(30)))
	g.line.timestamp(joined)
	if g.percent(12) {
		g.line.timestamp(g.later(joined, 700*day))
	} else {
		g.line.null()
	}
}

func (g *generator) article(id int64) {
	company := int64(0)
	g.prose.startup = startupName(1 + g.skewed(g.startups))
	if g.percent(85) {
		company = 1 + g.skewed(g.startups)
		g.prose.startup = startupName(company)
	}
	title := g.sentence(headlines)
	g.line.integer(id)
	source := 1 + g.skewed(g.sources)
	g.line.integer(source)
	g.line.reference(company)
	g.line.text(title)
	g.line.text("https://" + slug(distinct(sourceFirst, sourceSecond, " ", source)) + ".example.org/" + strconv.FormatInt(id, 10) + "/" + slug(title))
	g.line.text(g.paragraphs(articleSentences, g.between(4, 10)))
	g.line.array(g.some(tags, 0, 3))
	if g.percent(80) {
		g.line.decimal(g.between(-1000, 1000), 3)
	} else {
		g.line.null()
	}
	g.line.timestamp(g.moment(id, g.counts["news_articles"]))
}

func (g *generator) message(id int64) {
	deal := int64(0)
	contact := 1 + g.skewed(g.contacts)
	if g.percent(70) {
		deal = 1 + g.skewed(g.deals)
		company := g.startupOfDeal(deal)
		if of := g.contactOfStartup(company, g.next()); of != 0 {
			contact = of
		} else {
			deal = 0 // nobody is known there: the message was about something else
		}
	}
	g.prose.startup = startupName(g.startupOfContact(contact))
	sent := g.moment(id, g.rows)
	channel := g.skewed(int64(len(channels)))
	g.line.integer(id)
	g.line.integer(contact)
	g.line.reference(deal)
	g.line.text(channels[channel])
	g.line.boolean(g.percent(55))
	g.line.text(g.sentence(messageSubjects))
	g.line.text("Dear " + firstOf(contactName(contact)) + ",\n\n" + g.paragraphs(messageSentences, g.between(1, 6)))
	g.line.text(fmt.Sprintf(`{"thread": "%08x", "attachments": %d, "client": %q}`, uint32(g.next()), g.below(4), g.pick([]string{"web", "phone", "import"})))
	g.line.timestamp(sent)
	if g.percent(85) {
		g.line.timestamp(g.later(sent, 3*day))
	} else {
		g.line.null()
	}
}

// market is a region that is not a continent, where there is one.
func (g *generator) market() int64 {
	continents := int64(0)
	for _, r := range regions {
		if r.parent == 0 {
			continents++
		}
	}
	if g.regions <= continents {
		return 1 + g.below(g.regions)
	}
	return 1 + continents + g.below(g.regions-continents)
}

// Contacts are dealt out to the startups in turn, so that a startup's contacts are known without a list of them.
func (g *generator) startupOfContact(contact int64) int64 { return (contact-1)%g.startups + 1 }

// contactOfStartup chooses one of a startup's contacts, 0 when it has none.
func (g *generator) contactOfStartup(startup int64, choice uint64) int64 {
	n := (g.contacts - startup + g.startups) / g.startups
	if n < 1 {
		return 0
	}
	high, _ := bits.Mul64(choice, uint64(n))
	return startup + int64(high)*g.startups
}

// startupOfDeal is a function of the deal alone: messages ask for it too.
func (g *generator) startupOfDeal(deal int64) int64 {
	r := streamOf("startup of deal", deal)
	return 1 + r.skewed(g.startups)
}

// moment spreads n rows over the time of the sample in the order of their identifiers.
func (g *generator) moment(id, n int64) int64 {
	// A 128-bit product: seconds times rows can exceed 64 bits.
	high, low := bits.Mul64(uint64(ends-begins-day), uint64(id-1))
	seconds, _ := bits.Div64(high, low, uint64(n))
	return begins + int64(seconds) + g.below(day)
}

// later is a moment within the given seconds after t, not after the sample's end.
func (g *generator) later(t, within int64) int64 { return min(t+g.below(within), ends) }
