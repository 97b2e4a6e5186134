"""What the demo shop sells, and the words it sells it with.

Colours and patterns are never named: they can be seen in the pictures alone, as a theme can be
read in the texts alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FINISHES = ("rustic", "refined", "light", "tough")
"""Families of materials; a taste of its own, readable in title and description."""


@dataclass(frozen=True)
class Kind:
    """One kind of thing: where it stands in the shop and what it can be made of."""

    name: str
    nouns: tuple[str, ...]
    path: tuple[str, ...]
    price: float
    materials: tuple[tuple[str, ...], ...]
    """By finish, in the order of ``FINISHES``."""
    uses: tuple[str, ...]


KINDS = (
    Kind("lamp", ("table lamp", "lamp"), ("Home", "Lighting", "Lamps"), 85,
         (("oak", "driftwood"), ("brass", "marble"), ("paper", "linen"), ("steel", "concrete")),
         ("Throws a soft light over a desk or a bedside.", "Dims from reading to late evening.")),
    Kind("mug", ("mug", "coffee mug"), ("Home", "Kitchen", "Mugs"), 16,
         (("stoneware", "earthenware"), ("porcelain", "bone china"), ("glass", "bamboo"),
          ("enamel", "steel")),
         ("Holds a generous cup of coffee or tea.", "Sits well in two hands on a slow morning.")),
    Kind("rug", ("rug", "floor rug"), ("Home", "Textiles", "Rugs"), 140,
         (("jute", "wool"), ("silk", "alpaca"), ("cotton", "hemp"), ("sisal", "felt")),
         ("Warms a bare floor underfoot.", "Lies flat and quiet under a table.")),
    Kind("poster", ("poster", "art print"), ("Home", "Walls", "Posters"), 28,
         (("kraft paper", "linen"), ("letterpress", "giclée"), ("rice paper", "cotton paper"),
          ("canvas", "aluminium")),
         ("Fits a standard frame.", "Printed in small editions and numbered by hand.")),
    Kind("sneakers", ("sneakers", "trainers"), ("Wear", "Shoes", "Sneakers"), 95,
         (("suede", "hemp"), ("leather", "nubuck"), ("knit", "mesh"), ("canvas", "ripstop")),
         ("Cushioned for a full day of walking.", "A light sole with good grip.")),
    Kind("chair", ("chair", "dining chair"), ("Home", "Furniture", "Chairs"), 190,
         (("oak", "rattan"), ("walnut", "velvet"), ("birch", "cane"), ("steel", "beech")),
         ("Comfortable through a long dinner.", "Stacks and stores without fuss.")),
    Kind("cushion", ("cushion", "throw pillow"), ("Home", "Textiles", "Cushions"), 32,
         (("linen", "wool"), ("velvet", "satin"), ("cotton", "muslin"), ("corduroy", "denim")),
         ("Comes with a plump feather filling.", "The cover zips off for washing.")),
    Kind("vase", ("vase", "flower vase"), ("Home", "Decoration", "Vases"), 44,
         (("earthenware", "clay"), ("crystal", "porcelain"), ("glass", "papier-mâché"),
          ("concrete", "cast iron")),
         ("Made for a single branch or a full bunch.", "Stands steady, even when empty.")),
    Kind("clock", ("wall clock", "clock"), ("Home", "Decoration", "Clocks"), 58,
         (("oak", "cork"), ("brass", "walnut"), ("birch", "acrylic"), ("steel", "slate")),
         ("Runs silently on one battery.", "Easy to read from across the room.")),
    Kind("planter", ("planter", "plant pot"), ("Garden", "Pots", "Planters"), 36,
         (("clay", "seagrass"), ("glazed ceramic", "marble"), ("bamboo", "rattan"),
          ("concrete", "zinc")),
         ("With a drainage hole and a saucer.", "Roomy enough for growing roots.")),
    Kind("backpack", ("backpack", "daypack"), ("Wear", "Bags", "Backpacks"), 110,
         (("waxed cotton", "hemp"), ("leather", "nubuck"), ("cotton", "nylon"),
          ("cordura", "canvas")),
         ("A padded sleeve keeps a laptop safe.", "Carries a weekend and still looks tidy.")),
    Kind("teapot", ("teapot", "tea pot"), ("Home", "Kitchen", "Teapots"), 52,
         (("stoneware", "earthenware"), ("porcelain", "silver plate"), ("glass", "bamboo"),
          ("cast iron", "enamel")),
         ("Pours cleanly and keeps its heat.", "Brews enough for a table of four.")),
    Kind("umbrella", ("umbrella", "walking umbrella"), ("Wear", "Weather", "Umbrellas"), 48,
         (("bamboo", "ash wood"), ("cherrywood", "satin"), ("nylon", "pongee"),
          ("ripstop", "fibreglass")),
         ("Opens at a touch and stands up to gusts.", "Folds down small when the rain has gone.")),
    Kind("notebook", ("notebook", "journal"), ("Desk", "Paper", "Notebooks"), 18,
         (("kraft", "hemp"), ("leather", "linen-bound"), ("rice paper", "cotton"),
          ("stone paper", "canvas")),
         ("Opens flat, with paper that likes ink.", "A ribbon keeps the page.")),
)  # fmt: skip
"""Everything the shop sells."""


@dataclass(frozen=True)
class Theme:
    """A mood that runs through names and descriptions."""

    name: str
    titles: tuple[str, ...]
    sentences: tuple[str, ...]


THEMES = (
    Theme("coast",
          ("Skerry", "Harbour", "Tide", "Lighthouse", "Regatta", "Driftline", "Lagoon", "Seagull",
           "Anchor", "Saltmarsh", "Breaker", "Jetty"),
          ("Drawn from days by the sea, with salt on the wind.",
           "It brings the calm of a harbour at low tide.",
           "For anyone who collects shells and watches the boats come in.",
           "Inspired by lighthouses, sails and long beaches.")),
    Theme("forest",
          ("Spruce", "Fern", "Bramble", "Timber", "Mossbank", "Owl", "Acorn", "Thicket",
           "Birchwood", "Badger", "Mushroom", "Clearing"),
          ("It carries the hush of a deep forest.",
           "Inspired by woodland walks, ferns and fallen leaves.",
           "Made for those who listen for owls under tall trees.",
           "A little of the forest floor, brought indoors.")),
    Theme("mountain",
          ("Summit", "Chalet", "Glacier", "Ridge", "Edelweiss", "Avalanche", "Basecamp", "Cairn",
           "Couloir", "Ibex", "Highland", "Snowline"),
          ("Drawn from alpine huts and the first snow of the year.",
           "For climbers, skiers and everyone who loves thin air.",
           "It remembers a mountain pass at sunrise.",
           "Inspired by ridges, glaciers and steep paths.")),
    Theme("desert",
          ("Mesa", "Cactus", "Caravan", "Oasis", "Dune", "Canyon", "Sirocco", "Adobe", "Mirage",
           "Agave", "Nomad", "Sahara"),
          ("It holds the stillness of the desert at noon.",
           "Inspired by dunes, canyons and adobe walls.",
           "For wanderers who dream of caravans and far oases.",
           "Made with cactus gardens and dry heat in mind.")),
    Theme("garden",
          ("Peony", "Trellis", "Meadow", "Honeybee", "Wisteria", "Orchard", "Foxglove", "Lavender",
           "Ladybird", "Rosehip", "Clover", "Hedgerow"),
          ("It smells, almost, of a garden after rain.",
           "Inspired by flower beds, bees and glasshouses.",
           "For gardeners who know every petal by name.",
           "A blossom of a thing for a summer terrace.")),
    Theme("night sky",
          ("Orion", "Comet", "Nebula", "Eclipse", "Polaris", "Cosmos", "Meteor", "Andromeda",
           "Lunar", "Apollo", "Zenith", "Stargazer"),
          ("Drawn from star charts and clear winter nights.",
           "For stargazers who stay up for meteors.",
           "Inspired by planets, orbits and the far side of the moon.",
           "It would not look out of place in an observatory.")),
    Theme("farmhouse",
          ("Homestead", "Haystack", "Barn", "Rooster", "Larder", "Miller", "Windmill", "Harvest",
           "Dairy", "Cottage", "Saddle", "Granary"),
          ("Made for a country kitchen with bread in the oven.",
           "It recalls barns, haylofts and honest work.",
           "Inspired by farmhouse tables and market days.",
           "For weekends among hens, orchards and old tractors.")),
    Theme("city",
          ("Boulevard", "Metro", "Avenue", "Skyline", "Neon", "Jazz", "Loft", "Arcade", "Tramline",
           "Subway", "Rooftop", "Gallery"),
          ("Drawn from city lights and late trams.",
           "For loft living, galleries and rooftop bars.",
           "It keeps the rhythm of a jazz club past midnight.",
           "Inspired by avenues, arcades and glass facades.")),
)  # fmt: skip
"""Moods; a taste of its own, readable in title and description."""

MAKING: Mapping[str, tuple[str, ...]] = {
    "rustic": ("Shaped by hand from natural {material}.", "Raw, honest {material} that ages well."),
    "refined": (
        "Finely finished {material} for special rooms.",
        "Polished {material}, elegantly made.",
    ),
    "light": ("Airy and delicate, in {material}.", "Featherlight {material} with a gentle feel."),
    "tough": (
        "Sturdy {material} built for years of wear.",
        "Hard-wearing {material}, made to last.",
    ),
}
"""How a thing is made, by finish."""

BRANDS = (
    "Tern & Vale", "Oakhurst", "Norrland", "Atelier Noor", "Maison Belle", "Little Comet",
    "Halden & Rye", "Studio Lumo", "Porto Sole", "Kestrel", "Ostro", "Sable & Finch", "Fieldnote",
    "Amsel", "Hygge Works", "Ironbridge",
)  # fmt: skip
"""Makers; each has a theme it prefers (its place, modulo the themes)."""
