/// Says hello.
#[message]
#[derive(Clone, Debug)]
pub struct Greeting {
    /// What is said.
    pub text: String,
    #[tag(4)]
    pub at: u64,
    #[prost]
    old: Option<pb::Old>,
}

/// What is seen.
#[message]
enum Color {
    Red,
    DarkBlue = 4,
    #[unknown]
    Other(i32),
}

#[message]
enum Event {
    Started,
    Moved { by: i32, of: Box<Self> },
    #[tag(7)]
    Painted(Color),
    #[unknown]
    Unknown,
}
