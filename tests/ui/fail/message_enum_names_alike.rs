use blixard_rpc::message;

#[message]
#[allow(non_camel_case_types)]
enum Color {
    DarkBlue,
    Dark_Blue,
    #[unknown]
    Other(i32),
}

fn main() {}
