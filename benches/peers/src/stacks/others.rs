//! Services that nobody calls, to see what it costs that they are there.

use blixard_rpc::method::ServiceDescriptor;

macro_rules! services {
    ($($name:ident $package:literal,)*) => {
        $(
            #[allow(dead_code, reason = "nobody calls them")]
            mod $name {
                #[blixard_rpc::iroh_service(package = $package)]
                pub(crate) trait Other {
                    async fn echo(&self, payload: bytes::Bytes) -> blixard_rpc::Result<bytes::Bytes>;
                    async fn count(&self, payload: bytes::Bytes) -> blixard_rpc::Result<u64>;
                }
            }
        )*

        /// All of them.
        pub(crate) fn others() -> impl Iterator<Item = &'static ServiceDescriptor> {
            [$($name::OtherService::descriptor()),*].into_iter()
        }
    };
}

services! {
    s01 "s01.v1", s02 "s02.v1", s03 "s03.v1", s04 "s04.v1", s05 "s05.v1", s06 "s06.v1", s07 "s07.v1",
    s08 "s08.v1", s09 "s09.v1", s10 "s10.v1", s11 "s11.v1", s12 "s12.v1", s13 "s13.v1", s14 "s14.v1",
    s15 "s15.v1", s16 "s16.v1", s17 "s17.v1", s18 "s18.v1", s19 "s19.v1", s20 "s20.v1", s21 "s21.v1",
    s22 "s22.v1", s23 "s23.v1", s24 "s24.v1", s25 "s25.v1", s26 "s26.v1", s27 "s27.v1", s28 "s28.v1",
    s29 "s29.v1", s30 "s30.v1", s31 "s31.v1", s32 "s32.v1", s33 "s33.v1", s34 "s34.v1", s35 "s35.v1",
    s36 "s36.v1", s37 "s37.v1", s38 "s38.v1", s39 "s39.v1", s40 "s40.v1", s41 "s41.v1", s42 "s42.v1",
    s43 "s43.v1", s44 "s44.v1", s45 "s45.v1", s46 "s46.v1", s47 "s47.v1", s48 "s48.v1", s49 "s49.v1",
    s50 "s50.v1", s51 "s51.v1", s52 "s52.v1", s53 "s53.v1", s54 "s54.v1", s55 "s55.v1", s56 "s56.v1",
    s57 "s57.v1", s58 "s58.v1", s59 "s59.v1", s60 "s60.v1", s61 "s61.v1", s62 "s62.v1", s63 "s63.v1",
    s64 "s64.v1", s65 "s65.v1", s66 "s66.v1", s67 "s67.v1", s68 "s68.v1", s69 "s69.v1", s70 "s70.v1",
    s71 "s71.v1", s72 "s72.v1", s73 "s73.v1", s74 "s74.v1", s75 "s75.v1", s76 "s76.v1", s77 "s77.v1",
    s78 "s78.v1", s79 "s79.v1", s80 "s80.v1", s81 "s81.v1", s82 "s82.v1", s83 "s83.v1", s84 "s84.v1",
    s85 "s85.v1", s86 "s86.v1", s87 "s87.v1", s88 "s88.v1", s89 "s89.v1", s90 "s90.v1", s91 "s91.v1",
    s92 "s92.v1", s93 "s93.v1", s94 "s94.v1", s95 "s95.v1", s96 "s96.v1", s97 "s97.v1", s98 "s98.v1",
    s99 "s99.v1",
}
