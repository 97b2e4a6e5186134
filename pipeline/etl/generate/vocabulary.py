"""Words of generated items and reviews: what an item is called follows its kind."""

KINDS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Camera & Photo", "Lenses", ("Lens", "Prime Lens", "Zoom"), ("wide-angle", "50 mm", "macro")),
    ("Camera & Photo", "Tripods", ("Tripod", "Monopod"), ("carbon", "travel", "aluminium")),
    ("Camera & Photo", "Bags", ("Camera Bag", "Sling"), ("padded", "waterproof", "slim")),
    ("Camera & Photo", "Flashes", ("Speedlight", "Ring Flash"), ("off-camera", "TTL", "compact")),
    ("Computers", "Keyboards", ("Keyboard", "Keypad"), ("mechanical", "wireless", "ergonomic")),
    ("Computers", "Mice", ("Mouse", "Trackball"), ("optical", "vertical", "silent")),
    ("Computers", "Monitors", ("Monitor", "Display"), ('24" IPS', "curved", "4K")),
    ("Computers", "Storage", ("SSD", "Hard Drive"), ("1TB", "portable", "NVMe")),
    ("Headphones", "In-Ear", ("Earbuds", "Earphones"), ("noise-isolating", "sports", "wired")),
    ("Headphones", "Over-Ear", ("Headphones", "Headset"), ("studio", "closed-back", "gaming")),
    ("Headphones", "Cables", ("Headphone Cable", "Adapter"), ("braided", "3.5 mm", "gold-plated")),
    ("Headphones", "Amplifiers", ("Headphone Amp", "DAC"), ("tube", "desktop", "USB")),
    ("Car & GPS", "Navigators", ("GPS Navigator", "Mount"), ("lifetime-map", "5-inch", "truck")),
    ("Car & GPS", "Speakers", ("Car Speaker", "Subwoofer"), ("coaxial", "10-inch", "component")),
    ("Car & GPS", "Dash Cams", ("Dash Cam", "Rear Camera"), ("1080p", "dual", "night-vision")),
    ("Car & GPS", "Chargers", ("Car Charger", "Inverter"), ("dual-port", "fast", "300 W")),
    ("Television", "Antennas", ("Antenna", "Signal Booster"), ("indoor", "amplified", "outdoor")),
    ("Television", "Mounts", ("Wall Mount", "TV Stand"), ("tilting", "full-motion", "swivel")),
    ("Television", "Remotes", ("Remote", "Universal Remote"), ("backlit", "8-device", "learning")),
    ("Television", "Players", ("Blu-ray Player", "Streamer"), ("region-free", "3D", "HDR")),
    ("Portable", "E-Readers", ("E-Reader", "Cover"), ("paper-white", "leather", "7-inch")),
    ("Portable", "Power", ("Power Bank", "Battery"), ("10,000 mAh", "slim", "solar")),
    ("Portable", "Radios", ("Radio", "Shortwave Radio"), ("weather", "hand-crank", "DAB+")),
    ("Portable", "Speakers", ("Bluetooth Speaker", "Boombox"), ("rugged", "bass-heavy", "mini")),
)
"""Department, kind, nouns and adjectives."""

BRANDS = (
    "Arvo", "Belmont", "Cirrus", "Dunlin", "Evora", "Fjord", "Garnet", "Halden", "Iris & Co",
    "Juno", "Kestrel", "Lumen", "Maréchal", "Norden", "Orrin", "Pallas", "Quill", "Rowan",
)  # fmt: skip
"""Every kind has its own few."""

COLOURS = ("Black", "Silver", "White", "Red", "Blue", "Graphite", "Green")
"""Of variants."""

PRAISE = (
    "Works exactly as described.", "I use this {noun} every day and it has never let me down.",
    "Best {noun} I have owned & worth every cent.", "Bought a second one for my brother's office.",
    "Set-up took five minutes; the manual isn't great, who reads it?", "Solid build, fair price.",
)  # fmt: skip
"""Sentences of four and five stars."""

BLAME = (
    "Stopped working after two weeks.", "The {noun} arrived scratched and the box was open.",
    'The listing says "new", mine was not.', "Too heavy, too loud, sent it back.",
    "It's OK for the price, nothing more.", "Support never answered — avoid this {noun}.",
)  # fmt: skip
"""Sentences of fewer stars."""

SUMMARIES = ("Do not buy", "Disappointed", "It's okay", "Pretty good", "Five Stars")
"""By stars, from one."""
