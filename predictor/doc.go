// Package predictor says how accurate a network would be, had somebody trained
// it: mean and standard deviation of its top-1 accuracy, in microseconds
// instead of GPU weeks. It learns that from records of networks that were
// trained, and says how well it does.
//
// # Records
//
// A [Record] is a network, its accuracy, the dataset, the recipe, and the
// source of the figure, as one JSON object a line: [ReadRecords],
// [WriteRecords]. Some are derived: their accuracy was not measured, another
// model says so. They are learnt from with less weight, and never assessed. The
// recipe names who trained the network and how. It matters as much as the
// network: ResNet-50 has 76.1 % by the recipe of torchvision's first weights
// and 77.7 % by imgclsmob's. A predictor learns all recipes at once, and is
// asked about one.
//
// # What it looks at
//
// An [Extractor] walks a network's layers and computes a fixed list of
// features, [FeatureNames]: how large the network is, what share of its work is
// done by which kind of convolution, and where. It knows nothing of blocks,
// spaces or genes, and so works for blocks that a user adds. Each feature's
// reason stands beside it in the source. A predictor also looks at how much a
// network mixes types of blocks. Records of networks of one type each tell
// nothing of that: it changes the deviation of a mix, and not the mean. For the
// networks of one space, its genes say more: [Ordinal] and [OneHot], with or
// instead of the features ([Input]). Where records were trained on several
// datasets, or for different numbers of epochs, these are inputs too.
//
// # What it learns
//
// The default model, [GP], is a Gaussian process on the logarithm of the error, log(1 -
// accuracy), in which halving the error is the same step anywhere. The
// covariance of two networks is that of a linear trend in the logarithms of
// their sizes, plus a Matern function of the distance of their features, with
// one length scale a feature. Networks of the same recipe share, besides, a level
// and a deviation of their own, so that a recipe with one record moves little but
// itself. Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
// is the source of nearly every formula here.
//
// The hyper-parameters are chosen for what they say about networks unlike those
// seen, since that is where a search goes: they maximise, together with the
// marginal likelihood, the likelihood of the networks of each type of blocks given
// those of all others. Then the intervals are widened by the factor that makes
// what was left out likeliest when everything is learnt anew without it, or by more
// until they hold of it what they should.
//
// [Ridge], [Trees] and [Neural] are other models of the same target; [Auto]
// compares all of them on the records.
//
// # What to believe
//
// The mean is near the truth close to the records. Far from them it follows
// the trend, and the deviation grows. A search does not draw networks at random: it
// picks those whose accuracy is predicted too high. Rank candidates by a lower
// bound such as Accuracy - SD, and train what you choose.
//
// How good a predictor is on its records, [LeaveOut], [CrossValidate] and
// [Assess] say. The intervals are made to be right for types of networks that
// the records do not have. Among those that they have, 90 % intervals of the default
// predictor hold 93 % of the accuracies over all recipes, from 85 % of those of
// imgclsmob to all of some others.
//
// # The predictor imagenet
//
// [Imagenet] is trained on records/imagenet.jsonl: 194 published accuracies on
// ImageNet-1k by five sources, of networks of all built-in block types but conv and
// identity, and 50 derived ones of networks of inverted blocks. Its recipes:
//
//	accel_nasbench      50 derived records, 16 epochs: a proxy, not to be asked for
//	imgclsmob           the default: 72 networks of all these block types, long training
//	paddleclas          34 networks, PaddleClas
//	pycls_dds_100ep     27 RegNets and ResNets, 100 epochs
//	pycls_effnet_100ep  5 EfficientNets, 100 epochs
//	ported              1 network, weights from elsewhere; hardly a recipe
//	tf_slim             34 MobileNets V1 and V2 at several resolutions, TensorFlow Slim
//	tf_slim_v3          5 MobileNets V3
//	torchvision_v1      16 networks, torchvision's first weights
//
// The default is imgclsmob because it is the only recipe with records of every
// such block type: a comparison across types under any other is an extrapolation.
package predictor
