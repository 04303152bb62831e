use blixard_rpc::message;

#[message]
#[within]
pub enum State {
    Stopped,
    Running,
    #[unknown]
    Other(i32),
}

fn main() {}
