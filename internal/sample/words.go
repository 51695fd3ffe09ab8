package sample

// region is one row of regions; parent is an index into the same list plus one, 0 for a continent.
type regionRow struct {
	code, name, zone string
	parent           int64
}

// Continents come before the markets inside them, so that any beginning of the list is whole.
var regions = []regionRow{
	{"EU", "Europe", "Europe/Brussels", 0},
	{"NA", "North America", "America/New_York", 0},
	{"AP", "Asia and Pacific", "Asia/Singapore", 0},
	{"SA", "South America", "America/Sao_Paulo", 0},
	{"AF", "Africa", "Africa/Nairobi", 0},
	{"EU-DAC", "Germany, Austria, Switzerland", "Europe/Berlin", 1},
	{"EU-FR", "France", "Europe/Paris", 1},
	{"EU-NOR", "Nordics", "Europe/Stockholm", 1},
	{"EU-UK", "United Kingdom and Ireland", "Europe/London", 1},
	{"EU-IB", "Spain and Portugal", "Europe/Madrid", 1},
	{"EU-CEE", "Central and Eastern Europe", "Europe/Warsaw", 1},
	{"NA-ESC", "East Coast", "America/New_York", 2},
	{"NA-BAY", "Bay Area", "America/Los_Angeles", 2},
	{"NA-CA", "Canada", "America/Toronto", 2},
	{"AP-SG", "Singapore", "Asia/Singapore", 3},
	{"AP-IN", "India", "Asia/Kolkata", 3},
	{"AP-JP", "Japan", "Asia/Tokyo", 3},
	{"AP-AU", "Australia and New Zealand", "Australia/Sydney", 3},
	{"SA-BR", "Brazil", "America/Sao_Paulo", 4},
	{"SA-CL", "Chile", "America/Santiago", 4},
	{"AF-KE", "Kenya", "Africa/Nairobi", 5},
	{"AF-NG", "Nigeria", "Africa/Lagos", 5},
	{"AF-ZA", "South Africa", "Africa/Johannesburg", 5},
}

var firstNames = []string{
	"Ada", "Aisha", "Akira", "Alma", "Amara", "Anders", "Beatriz", "Björn", "Camille", "Chidi", "Clara", "Daniel", "Dmitri", "Elif", "Émile",
	"Esther", "Farid", "Fiona", "François", "Grace", "Hana", "Henrik", "Ines", "Ivan", "Jonas", "José", "Jun", "Karim", "Katarzyna", "Lars",
	"Leila", "Łukasz", "Maeve", "Marta", "Mei", "Mikkel", "Nadia", "Naoko", "Noah", "Olga", "Oskar", "Priya", "Rafael", "Ravi", "Renée",
	"Sara", "Sean", "Sibel", "Søren", "Tomás", "Uma", "Viktor", "Wanjiru", "Yusuf", "Zoë", "Zuzanna",
}

var lastNames = []string{
	"Achterberg", "Adeyemi", "Almeida", "Andersson", "Banerjee", "Baptista", "Bauer", "Bergström", "Castillo", "Chen", "Dąbrowski", "Delacroix",
	"Eriksen", "Fernández", "Fischer", "Gallagher", "Grünwald", "Haddad", "Hansen", "Horváth", "Ibrahim", "Ishikawa", "Jansen", "Kamau",
	"Keller", "Kim", "Kowalczyk", "Lefèvre", "Lindqvist", "Makarov", "Marchetti", "Mbeki", "McCarthy", "Moreau", "Müller", "Nakamura",
	"Novák", "O'Brien", "O'Connor", "Okafor", "Oliveira", "Öztürk", "Patel", "Petrov", "Quiroga", "Rahman", "Rossi", "Sánchez", "Sato",
	"Schmidt", "Silva", "Singh", "Tanaka", "Thorne", "Ueda", "van der Berg", "Vasquez", "Weiss", "Yamamoto", "Zhang",
}

var firmFirst = []string{
	"Alder", "Anchor", "Basalt", "Beacon", "Birch", "Cairn", "Cedar", "Compass", "Copper", "Ember", "Fjord", "Flint", "Granite", "Harbour",
	"Heron", "Juniper", "Kestrel", "Lantern", "Linden", "Maple", "Meridian", "North Quay", "Oakfield", "Osprey", "Polar", "Quarry", "Redwood",
	"Saltmarsh", "Sextant", "Slate", "Tidewater", "Umber", "Vesper", "Wayfarer", "Willow",
}

var firmSecond = []string{"Ventures", "Capital", "Partners", "Growth", "Seed Fund", "Holdings", "Equity", "Angels", "Investments", "Catalyst"}

var startupFirst = []string{
	"Amber", "Arc", "Atlas", "Blue", "Bright", "Cargo", "Cinder", "Clear", "Cloud", "Crisp", "Deep", "Echo", "Field", "Fleet", "Forge", "Grain",
	"Green", "Hollow", "Iron", "Kind", "Lumen", "Mint", "Moss", "Nimble", "Nova", "Open", "Orbit", "Paper", "Pixel", "Plain", "Quiet", "Rapid",
	"River", "Signal", "Silver", "Solid", "Spark", "Stone", "Swift", "Tidal", "True", "Urban", "Velvet", "Vivid", "Warm", "Wild", "Zephyr",
}

var startupSecond = []string{
	"Anvil", "Basket", "Beam", "Bridge", "Canvas", "Cell", "Circuit", "Compass", "Crate", "Dock", "Engine", "Factor", "Garden", "Grid", "Harvest",
	"Health", "Hive", "Kiln", "Lab", "Ledger", "Lens", "Loop", "Market", "Mesh", "Metric", "Mill", "Motion", "Nest", "Parcel", "Path", "Pilot",
	"Post", "Press", "Pulse", "Reef", "Relay", "Root", "Sail", "Scale", "Seed", "Shelf", "Stack", "Stream", "Table", "Thread", "Vault", "Wave",
	"Works", "Yard",
}

// nameEndings tell apart the names that are made when the pairs above are used up.
var nameEndings = []string{"", " One", " Group", " International", " Works", " & Co"}

var sourceFirst = []string{
	"The Daily", "Founders'", "Venture", "Startup", "Northern", "Capital", "Evening", "Seed", "Harbour", "Silicon", "The Weekly", "Market",
	"Ledger &", "Early", "Open", "Midnight", "Continental", "Pacific",
}

var sourceSecond = []string{"Ledger", "Herald", "Wire", "Gazette", "Digest", "Courier", "Signal", "Dispatch", "Review", "Observer", "Bulletin", "Notes", "Brief"}

var (
	sourceKinds     = []string{"newspaper", "wire", "blog", "newsletter", "podcast"}
	sectors         = []string{"agriculture", "biotech", "climate", "commerce", "developer tools", "education", "energy", "fintech", "health", "logistics", "media", "robotics", "security", "space", "travel"}
	fundingStages   = []string{"pre_seed", "seed", "series_a", "series_b", "series_c", "growth"}
	dealStages      = []string{"sourced", "screening", "due_diligence", "term_sheet", "closed", "lost"}
	channels        = []string{"email", "call", "meeting", "chat"}
	currencies      = []string{"EUR", "EUR", "EUR", "USD", "USD", "GBP", "CHF", "SEK"}
	plans           = []string{"free", "free", "free", "free", "plus", "plus", "team"}
	investorTitles  = []string{"Partner", "General Partner", "Principal", "Associate", "Venture Partner", "Scout", "Managing Director"}
	positions       = []string{"Founder & CEO", "Co-founder & CTO", "CFO", "Chief of Staff", "Head of Product", "Head of Sales", "Head of Finance", "VP Engineering", "Board member", "Legal counsel"}
	languages       = []string{"da", "de", "es", "fr", "hi", "it", "ja", "nl", "pl", "pt", "sv", "sw", "tr", "zh"}
	tags            = []string{"b2b", "b2c", "bootstrapped", "carbon-negative", "hardware", "marketplace", "open source", "patented", "profitable", "regulated", "remote-first", "repeat founder", "SaaS", "\"stealth\""}
	mailHosts       = []string{"example.com", "example.net", "example.org", "mail.example.com", "post.example.org"}
	instruments     = []string{"equity", "convertible note", "SAFE", "warrant"}
	months          = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	messageSubjects = []string{
		"Notes from our call", "Re: {startup} – next steps", "Introduction: {person} and {startup}", "Data room for {startup}", "{month} update",
		"Cap table questions", "Term sheet, version {n}", "Lunch on Thursday?", "Customer references", "Your deck (\"v{n}, final\")", "Board seat",
		"Re: Re: Closing conditions", "Checking in", "Pilot with {n} customers", "Fwd: {startup} in the press",
	}
	messageSentences = []string{
		"Thank you for the time today; the team liked what {startup} showed.",
		"Could you send the cohort numbers for {month}, split by plan?",
		"We would lead with {amount}, and two others want to join.",
		"{person} asked how much of the pipeline is signed and how much is hope.",
		"Churn fell to {n} % after the change in onboarding.",
		"The lawyers need the articles of association and the list of shareholders.",
		"Let us talk again once the pilot with the {sector} customer has run for {n} weeks.",
		"The runway is {n} months without the bridge.",
		"I attach the model; column F holds the assumptions, please challenge them.",
		"We decided to wait until the {month} figures are in.",
		"References were good: \"they answer within the hour\", said one.",
		"Our committee meets on the {n}th; I will write the day after.",
		"Can we move the call by half an hour? {person} lands late.",
		"The valuation is the only point that is still open.",
		"Path to the folder: \\\\files\\deals\\{n}\\.",
		"Grüße aus Zürich, et à bientôt!",
	}
	headlines = []string{
		"{startup} raises {amount} for {sector}", "Why {startup} said no to {amount}", "{startup} opens an office in {region}", "{n} questions for {startup}",
		"{startup} and the slow art of {sector}", "Layoffs at {startup} after a hard {month}", "{startup} doubles its customers in {n} months",
		"{person} joins {startup} as adviser", "{sector} is back: {startup} leads a crowded field", "What {startup} learned from {n} failed pilots",
	}
	articleSentences = []string{
		"{startup} said on Tuesday that it raised {amount} in a round that closed in {month}.",
		"The company sells to {sector} customers in {region} and counts {n} of them.",
		"\"We were {n} weeks from the end,\" said {person}, who invested early.",
		"Competitors are larger, but none of them ships on time.",
		"Margins in {sector} have fallen for three years in a row.",
		"Analysts doubt the number; the company did not answer a request for comment.",
		"The money goes into hiring, above all engineers and support.",
		"Its founders met at university and rewrote the product {n} times.",
		"Regulators in {region} have asked for a report by {month}.",
		"A pilot with a public hospital ended without a contract.",
		"Revenue grew by {n} % against the year before.",
		"The round values {startup} at several times its sales.",
	}
)
