use blixard_rpc::message;

#[message]
pub struct Outer {
    pub inner: Inner,
}

#[message]
#[within(Outer)]
pub struct Inner {
    pub text: String,
}

fn main() {}
