"""Objectives for data of which few examples have a label."""

import math

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.models.base import Model
from jaxvae.models.classifier import NAME, Classifier
from jaxvae.models.facts import Batch, Labels
from jaxvae.objectives.base import Classes, Objective, of_model
from jaxvae.objectives.elbo import check_samples, check_weights, kl_estimator, needs_density, weighted_elbo
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight

MARGINALS = ("exact", "sampled")


def m2(
    model: Model,
    labels: Labels,
    classifier: Classifier,
    kl: KLWeight = UNWEIGHTED,
    alpha: float = 0.1,
    unlabelled: float = 1.0,
    num_samples: int = 1,
    kl_estimate: str = "analytic",
    marginal: str = "exact",
) -> Objective:
    """Semi-supervised VAE whose class y is a latent where it is not known: "M2" (Kingma et al. 2014, arXiv:1406.5298).

    With ELBO(x, y) a bound on log p(x, y) = log p(x|y) + log p(y), of a model with the one-hot label in its context,
    and p(y) uniform, the loss is the mean over the training data of
      -ELBO(x, y), where y is known (equation 6),
      -sum_y q(y|x) (ELBO(x, y) - log q(y|x)), where it is not (equation 7), exactly, in one pass over all classes,
    and `alpha` times the mean of -log q(y|x) over the examples with a label (equation 9; its factor is `alpha` times
    the number of training examples, 0.1 N in the paper). The metric "kl_class" is KL(q(y|x) || p(y)), log C where y is
    known, and "kl" that of z, a mean over q(y|x). Where batches hold more labelled examples than the data, both
    kinds are weighted as in the data. Validation and test treat every label as unknown.

    Args:
      model: conditional on the label, `data.context=label`.
      labels: the classes, and how many examples have a label.
      classifier: q(y|x), the group of parameters "classifier".
      kl: weight of the KL of z.
      alpha: weight of the classification, above.
      unlabelled: weight of the bounds of examples without a label in the loss of the model. Below 1 the few labels say
        more about what a class is, where many unlabelled examples would make it another property of the data (Nigam et
        al. 2000, "Text classification from labeled and unlabeled documents using EM", section 5.3.1). As in their
        E-step, q(y|x) learns from these bounds with the weight 1.
      num_samples: samples of z per example and class.
      kl_estimate: as in `elbo`.
      marginal: "exact", or "sampled": in training one class of each unlabelled example, drawn from q(y|x), with the
        score-function gradient for q(y|x) and the mean of the other examples' bounds as its baseline (Xu et al. 2017,
        arXiv:1603.02514); as costly as one class, and noisier.

    Raises:
      UserError: the label is not in the model's context, the posterior is a point or has a loss of its own, the KL
        weight follows the whole batch, no samples, or an unknown `marginal`.
    """
    if marginal not in MARGINALS:
        raise unknown("marginal", marginal, MARGINALS)
    needs_density(model, "m2")
    check_samples("m2", num_samples=num_samples)
    check_weights("m2", alpha=alpha, unlabelled=unlabelled)
    if labels.position is None:
        raise UserError(
            "The objective 'm2' is of a model p(x|z, y) that is conditional on the label, one-hot: set "
            "data.context=label, with data of at most 100 classes."
        )
    if model.penalty is not None:
        raise UserError(
            "The objective 'm2' sums over the classes, and this posterior has a loss of its own for each example, a "
            "commitment to a codebook: take 'diagonal_gaussian', for example."
        )
    if kl.whole_batch:
        raise UserError(
            f"The objective 'm2' has a KL for each class, and here {kl.whole_batch}, to which classes that an example "
            "does not have would count: take a weight of each example alone, kl=constant or kl=linear."
        )
    kl_terms = kl_estimator(model, kl_estimate)

    def sampled(params, batch, key, ctx, groups):
        index = labels.index(batch["label"])
        noise, class_key = (jax.random.fold_in(key, 2**31 - 4 - i) for i in range(2))
        logits = classifier.logits(groups[NAME], batch["x"], batch.get("mask"), noise)
        known, drawn = index >= 0, jnp.where(index >= 0, index, jax.random.categorical(class_key, logits))
        given = {**batch, "context": labels.context(batch["context"], drawn)}
        out = model.forward(params, key, given, num_samples, is_training=True)
        metrics = weighted_elbo(model, out, kl_terms(out), kl, ctx.step)
        bound = -metrics["loss"] - math.log(labels.num)
        entropy = jnp.where(known, 0.0, -jnp.sum(jax.nn.softmax(logits) * jax.nn.log_softmax(logits), axis=1))
        score = -_cross_entropy(logits, drawn) * _against_others(jax.lax.stop_gradient(bound), ~known)
        model_weight, classifier_weight = (jnp.where(known, *_row_weights(labels, each)) for each in (unlabelled, 1.0))
        error = jnp.where(known, alpha / labels.batch_share * _cross_entropy(logits, index), 0.0)
        metrics["loss"] = error - model_weight * (bound + entropy)
        if "elbo" in metrics:
            metrics["elbo"] += entropy - math.log(labels.num)
        metrics["kl_class"] = math.log(labels.num) - entropy
        metrics["accuracy"] = _correct(logits, index, labels.batch_share)
        return out, metrics, {NAME: error - classifier_weight * (jnp.where(known, 0.0, score) + entropy)}

    def terms(params, batch, key, ctx, groups):
        if marginal == "sampled" and ctx.is_training:
            return sampled(params, batch, key, ctx, groups)
        size = len(batch["x"])
        index = labels.index(batch.get("label", jnp.full(size, -1)))
        known = (index >= 0) & ctx.is_training
        noise = jax.random.fold_in(key, 2**31 - 4) if ctx.is_training else None
        logits = classifier.logits(groups[NAME], batch["x"], batch.get("mask"), noise)
        out = model.forward(params, key, over_classes(labels, batch), num_samples, is_training=ctx.is_training)
        by_class = weighted_elbo(model, out, kl_terms(out), kl, ctx.step)
        bounds = -by_class["loss"].reshape(labels.num, size) - math.log(labels.num)
        one_hot = jax.nn.one_hot(index, labels.num)
        log_q = jax.nn.log_softmax(logits)

        def of_example(bounds):
            return jnp.where(known, jnp.sum(one_hot.T * bounds, axis=0), losses.marginal_elbo(bounds, logits))

        bound = of_example(bounds)
        error = jnp.where(known, alpha / labels.batch_share * _cross_entropy(logits, index), 0.0)
        model_weight, classifier_weight = (
            jnp.where(known, *_row_weights(labels, each)) if ctx.is_training else 1.0 for each in (unlabelled, 1.0)
        )
        weights = jnp.where(known[:, None], one_hot, jnp.exp(log_q)).T
        metrics = {name: _mean(value, weights) for name, value in by_class.items() if name != "elbo"}
        entropy = jnp.where(known, 0.0, -jnp.sum(jnp.exp(log_q) * log_q, axis=1))
        metrics["kl_class"] = math.log(labels.num) - entropy
        if "elbo" in by_class:
            elbos = by_class["elbo"].reshape(labels.num, size) - math.log(labels.num)
            metrics["elbo"] = of_example(elbos)
        metrics["accuracy"] = _correct(logits, index, labels.batch_share if ctx.is_training else 1.0)
        return out, {**metrics, "loss": error - model_weight * bound}, {NAME: error - classifier_weight * bound}

    whole_batch = "the baseline is the mean bound of a batch" if marginal == "sampled" else ""
    classes = classes_of(classifier, labels)
    return of_model(model, terms, whole_batch, groups={NAME: classifier.init}, classes=classes, loops=classifier.loops)


def _against_others(values: Array, which: Array) -> Array:
    """Subtract from each value `[B]` the mean of the others among `which`; the value itself where there is none."""
    count = jnp.sum(which)
    others = jnp.sum(jnp.where(which, values, 0.0)) - values
    return values - jnp.where(count > 1, others / jnp.maximum(count - 1, 1), 0.0)


def over_classes(labels: Labels, batch: Batch) -> Batch:
    """Repeat a batch for each of C classes, with the one-hot label of the class in the context: `[C * B]`, by class."""
    size = len(batch["x"])
    repeated = {
        name: jnp.broadcast_to(array, (labels.num, *array.shape)).reshape(-1, *array.shape[1:])
        for name, array in batch.items()
    }
    index = jnp.repeat(jnp.arange(labels.num), size)
    return {**repeated, "label": index, "context": labels.context(repeated["context"], index)}


def classes_of(classifier: Classifier, labels: Labels) -> Classes:
    """Return the classes of an objective with a classifier."""

    def log_probs(params, extra, batch):
        del extra
        return jax.nn.log_softmax(classifier.logits(params[NAME], batch["x"], batch.get("mask")))

    return Classes(labels.values, log_probs)


def _correct(logits: Array, index: Array, share: float) -> Array:
    """Return `[B]` whose mean is the accuracy over the `share` of examples with a class; 0 for the others."""
    return jnp.where(index >= 0, jnp.argmax(logits, axis=1) == index, False) / share


def _row_weights(labels: Labels, unlabelled: float) -> tuple[float, float]:
    """Return the weight of a row with and without a label, so that a batch's mean is that over the data."""
    share, in_batch = labels.share, labels.batch_share
    return share / in_batch, unlabelled * ((1 - share) / (1 - in_batch) if in_batch < 1 else 1.0)


def _mean(value: Array, weights: Array) -> Array:
    """Average `[C * B]` over the classes with weights `[C, B]`."""
    return jnp.sum(weights * value.reshape(weights.shape), axis=0)


def supervised(
    model: Model,
    labels: Labels,
    classifier: Classifier,
    kl: KLWeight = UNWEIGHTED,
    self_training: float = 0.0,
    num_samples: int = 1,
    kl_estimate: str = "analytic",
) -> Objective:
    """Train a classifier on the labels alone, beside a VAE that does not help it: what few labels give by themselves.

    The group "classifier" follows the mean of -log q(y|x) over the examples with a label, the model its ELBO.

    Args:
      model: any; its ELBO is the loss.
      labels: the classes, and how many examples have a label.
      classifier: q(y|x).
      kl: weight of the KL of z.
      self_training: above 0: unlabelled examples whose greatest q(y|x) is above it are taken as labelled with that
        class ("pseudo-labels", Lee 2013, with the threshold of arXiv:2001.07685, equation 4, but no augmentation).
      num_samples: as in `elbo`.
      kl_estimate: as in `elbo`.

    Raises:
      UserError: as `elbo`; or a threshold outside [0, 1).
    """
    if not 0 <= self_training < 1:
        raise UserError(f"objective.self_training is {self_training}; it must be 0 (off) or a probability below 1.")
    if labels.position is not None and labels.share < 1:
        raise UserError(
            "The objective 'supervised' takes a label in data.context as known, but some training examples have none: "
            "leave data.context empty, or take the objective 'm2'."
        )
    needs_density(model, "supervised")
    check_samples("supervised", num_samples=num_samples)
    kl_terms = kl_estimator(model, kl_estimate)

    def terms(params, batch, key, ctx, groups):
        out = model.forward(params, key, batch, num_samples, is_training=ctx.is_training)
        metrics = weighted_elbo(model, out, kl_terms(out), kl, ctx.step)
        index = labels.index(batch.get("label", jnp.full(len(batch["x"]), -1)))
        noise = jax.random.fold_in(key, 2**31 - 4) if ctx.is_training else None
        logits = classifier.logits(groups[NAME], batch["x"], batch.get("mask"), noise)
        share = labels.batch_share if ctx.is_training else 1.0
        error = jnp.where(index >= 0, _cross_entropy(logits, index), 0.0) / share
        metrics |= {"classification": error, "accuracy": _correct(logits, index, share)}
        if self_training and ctx.is_training and labels.batch_share < 1:
            q = jax.lax.stop_gradient(jax.nn.softmax(logits))
            is_sure = (index < 0) & (jnp.max(q, axis=1) > self_training)
            error += jnp.where(is_sure, _cross_entropy(logits, jnp.argmax(q, axis=1)), 0.0) / (1 - labels.batch_share)
        return out, metrics, {NAME: error}

    classes, groups = classes_of(classifier, labels), {NAME: classifier.init}
    return of_model(model, terms, kl.whole_batch, groups=groups, classes=classes, loops=classifier.loops)


def _cross_entropy(logits: Array, index: Array) -> Array:
    """Return -log q of the classes `index` `[B]`; 0 for -1."""
    return -jnp.sum(jax.nn.one_hot(index, logits.shape[1]) * jax.nn.log_softmax(logits), axis=1)
