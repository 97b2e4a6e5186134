"""The words that generated catalogues are written in: real ones, compounds and invented names."""

DEPARTMENTS: tuple[tuple[str, str], ...] = (
    ("Camera & Photo", "Camera Lens|Tripod|Camera Bag|Camera Flash|Memory Card|Lens Filter|"
     "Camcorder|Digital Camera|Photo Printer|Studio Light|Battery Grip|Remote Shutter"),
    ("Computers", "Keyboard|Mouse|Monitor|Solid State Drive|Laptop Sleeve|Graphics Card|Webcam|"
     "Docking Station|Desktop Tower|USB Hub|Cooling Pad|Tablet Stylus"),
    ("Headphones", "Earbuds|Studio Headphones|Gaming Headset|Headphone Cable|Headphone Amplifier|"
     "Ear Pads|Headphone Stand|Sport Earphones|Noise Cancelling Headphones|Earphone Case"),
    ("Car & GPS", "GPS Navigator|Car Speaker|Dash Camera|Car Charger|Car Stereo|Subwoofer|"
     "Windshield Mount|Wiring Harness|Radar Detector|Backup Camera|FM Transmitter"),
    ("Television & Video", "TV Antenna|Wall Mount|Universal Remote|Blu-ray Player|HDMI Cable|"
     "Projector|Projector Screen|Streaming Player|Television|TV Stand|Converter Box"),
    ("Portable Audio", "MP3 Player|Bluetooth Speaker|Boombox|Voice Recorder|Radio|Turntable|"
     "CD Player|Speaker Dock|Armband|Weather Radio"),
    ("Home Audio", "Bookshelf Speaker|Soundbar|AV Receiver|Speaker Wire|Center Speaker|"
     "Record Cleaner|Speaker Stand|Phono Preamp|Ceiling Speaker|Audio Cable"),
    ("Networking", "Wireless Router|Ethernet Switch|Network Adapter|Range Extender|Cable Modem|"
     "Ethernet Cable|Network Storage|Patch Panel|Powerline Adapter|Access Point"),
    ("Power", "Power Bank|Rechargeable Battery|Surge Protector|Wall Charger|Solar Panel|"
     "Power Inverter|Battery Charger|Extension Cord|Uninterruptible Power Supply|Laptop Adapter"),
    ("Tablets & Readers", "E-Reader|Tablet Case|Screen Protector|Tablet Stand|Reading Light|"
     "Keyboard Case|Tablet|Stylus Pen|Tablet Mount|Leather Cover"),
    ("Security", "Security Camera|Door Bell|Motion Sensor|Baby Monitor|Alarm Siren|"
     "Video Recorder|Camera Housing|Smart Lock|Smoke Detector|Spy Camera"),
    ("Office", "Laser Printer|Document Scanner|Label Maker|Calculator|Cordless Phone|"
     "Conference Phone|Ink Cartridge|Paper Shredder|Presentation Pointer|Two-Way Radio"),
)  # fmt: skip
"""Departments and the things that each sells."""

QUALIFIERS = ("", "Professional", "Outdoor", "Compact", "Vintage", "Refurbished", "Marine", "Kids")
"""What makes further kinds of the same thing, in catalogues that have many."""

_FEATURES = """
able accurate adaptive adhesive adjustable advanced agile alarm alert aligned alloy altitude
aluminum amber ambient amplified analog angled anodized antenna aperture app aqua arctic armored
array artistic assembled atomic audible auto automatic autofocus axis backlit backup balanced
ballistic bamboo bandwidth barometric barrel base bass battery bayonet beam bearing bendable beveled
binaural blackout blazing bluetooth bold braided brass bright brilliant broadcast bronze brushed
buckle buffer built button cable calibrated camouflage canvas capacitive capacity capsule carbon
ceiling ceramic certified channel charcoal charging chassis chilled chip chrome cinema circular
clamp clarity clarion classic clean clear click clip clock closed cloth cloud coated coaxial cobalt
coil collapsible color comfort compass component composite compressed concert condenser conductor
console contact contour control cool copper coral cordless core corner cotton cover crimson crisp
crossover crystal cube curved cushion custom cyan damped dark dash data decibel deep deluxe denim
dense depth desk detachable detail diamond digital dimmable direct disc display dome domestic double
dual durable dust dynamic eager earth echo economy edge efficient elastic electric elegant elite
embedded ember emerald emergency encrypted endless energy engraved enhanced equalizer ergonomic
ethernet even exact executive expandable express extended external fabric fade fast feather felt
fiber field film filter fine firm fisheye fit flagship flame flash flat fleet flexible flip floating
flood floor flow fluid flush foam focal focus foil foldable folding forest forged frame free
frequency fresh front frost full fused gain gaming garnet gateway gear gel gentle giant glare glass
glide global gloss glow gold grain granite graphite gravity grip ground guard guest guided half halo
hammered handheld handle handy hardened harmonic haze headroom heat heavy hidden high hinge hollow
home honey hook horizon hot humid hybrid ice icon idle image immersive impact impedance import inch
indigo indoor induction infrared ink inline inner input insulated intense interior internal iris
iron isolated ivory jack jade jet joint joystick jumbo kinetic knob knit label laminated lamp laser
latch latency launch layered lead leather legacy lens level lever library light lime linear linen
link liquid lithium live locking logic long loop lossless loud lounge low lucid luminous lush luxury
macro magnetic mahogany manual maple marble marine matte medium melody memory mercury mesh metal
meter micro midnight mild military mineral mini mint mirror mist mobile modern modular moisture
molded mono motion motor mount multi muted narrow native natural navy neon nested neutral night
nimble noble noise nomad nylon oak ocean octave office olive onyx opal open optical orange orbit
organic original outlet outer output oval oxide padded paired panel panoramic paper parallel passive
patch pattern peak pearl pedal perforated personal phantom phone photo pine pink pivot pixel plain
planar plasma plastic plated platform platinum plug plush pocket polar polished port portable post
powder power precise premium preset pressure prime print prism private profile programmable pulse
pure quad quality quantum quartz quick quiet quilted rack radiant radio rail rain raised random
rapid rare raw reactive ready real rear recessed red reel reference reflective refresh regal
reinforced relay reliable remote removable replaceable reserve resin resolution resonant responsive
retro reverb reversible ribbed rich rigid ring ripple river robust roller room rosewood rotating
rotary rough round royal rubber ruby rugged rust sable safe sand sapphire satin scalable scarlet
scratch screw sealed season secure semi sensor sepia series shade shadow sharp sheer shell shield
shift shock short shutter side signal signature silent silicone silk silver single skin slate sleek
slide slim slot slow smart smooth snap soft solar solid sonic sound spacious spare spark spectrum
speed spiral splash split sport spot spring square stable stack stage stainless standard star static
station stealth steel steep stereo still stone storage storm straight strap stream street stretch
strong studio sturdy suede summer sun super surface surround suspended sweat swift swivel sync
tactile tall tangle taper target teak teal telescopic tempered tension terrain textured thermal
thick thin thread thunder tight tilt timber timer tinted titanium toggle tone torque touch tough
tower track traction trail transparent travel treble trim triple true tube tuned tungsten turbo
turquoise twin twist ultra umber under unified unique upgraded upright urban vacuum valve vapor
variable vault velcro velvet vented versatile vertical vibrant video vinyl violet virtual vision
visual vivid voice volt volume walnut warm washable water wave weather weave web wedge weighted
weld wheel whisper wide wild wind window winter wire wireless wood woofer woven wrap yellow zero
zinc zip zone zoom
"""

FEATURES = tuple(dict.fromkeys(_FEATURES.split()))
"""Words that describe things."""

_BEFORE = (
    "anti", "auto", "cross", "dual", "easy", "extra", "full", "hard", "heat", "high", "long", "low",
    "multi", "non", "quick", "rain", "self", "semi", "shock", "soft", "super", "tool", "twin",
    "ultra",
)  # fmt: skip
_AFTER = (
    "adjusting", "band", "bass", "bound", "bright", "capacity", "charge", "clear", "clip",
    "density", "drain", "drive", "dust", "edge", "fade", "fit", "fold", "free", "gain", "glare",
    "glide", "grade", "grip", "impact", "layer", "light", "lock", "loss", "mode", "mount", "noise",
    "output", "pitch", "port", "power", "profile", "proof", "range", "rate", "release", "resistant",
    "sealing", "set", "shield", "slip", "speed", "stage", "start", "static", "stream", "tone",
    "touch", "track", "use", "view", "voltage", "wave", "weight", "wide", "zone",
)  # fmt: skip

COMPOUNDS = tuple(f"{first}-{second}" for first in _BEFORE for second in _AFTER)
"""Words that describe things more closely."""

FUNCTION = tuple(
    "the and a to with of for is your in it you this on or that from can be as by are an at so all"
    " up any not will more when while use out its into our have which has also no if than only"
    " both one two even between over without through each other every most many some after before"
    .split()
)  # fmt: skip
"""Words that stand everywhere, the most frequent first."""

GENERIC = tuple(
    "features design product keep quality made provides includes easy sound work works great"
    " devices system perfect model compatible allows enjoy makes help ideal support need set"
    " offers designed helps gives experience performance technology place time way life best"
    " simple year warranty package size fits connect device protects built comes extra users new"
    " solution choice result value range color weight dimensions manufacturer brand box contents"
    " instructions please note check listing version original replacement part number order"
    .split()
)  # fmt: skip
"""Words of any shop's prose, the most frequent first."""

COLOURS = ("Black", "Silver", "White", "Red", "Blue", "Graphite", "Green")
"""Of variants."""

SYLLABLES = (
    ("ar", "bel", "cor", "dyn", "el", "fen", "gal", "hal", "jun", "kel", "lum", "mar", "nor", "or",
     "pal", "quil", "ron", "sol", "tor", "ul", "vel", "wen", "xan", "yor", "zen"),
    ("a", "e", "i", "o", "u", "an", "el", "ir", "on", "us"),
    ("ba", "co", "dex", "fy", "gon", "ka", "lix", "mo", "nix", "po", "ra", "sys", "tek", "tra",
     "vox", "wave", "xis", "zen"),
)  # fmt: skip
"""Of invented brands and series."""

BRANDS = ("Iris & Co", "Maréchal", "O'Dell", "Quill", "Kestrel", "Halden", "Fjord", "Juno")
"""That have what invented syllables lack: an ampersand, an accent, an apostrophe."""

ASIDES = (
    "It's made to last.",
    "You'll find a 2-year manufacturer's warranty in the box.",
    'Measures 24" x 10" x 6".',
    'Measures 5.5" across; won\'t fit 7" models.',
    "Sounds &amp; looks great.<br />",
    "<b>Note:</b> cables aren't included.",
    "Tested from \N{MINUS SIGN}20 to 40\N{DEGREE SIGN}C.",
    "Path C:\\drivers on the disc.",
)
"""Sentences with what makes catalogues hard to read: quotes, inches, entities, markup, accents."""

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
